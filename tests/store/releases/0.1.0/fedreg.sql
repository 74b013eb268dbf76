BEGIN TRANSACTION;
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE counterparts (
    source_registry TEXT NOT NULL,
    source_identity TEXT NOT NULL,
    target_registry TEXT NOT NULL,
    target_identity TEXT NOT NULL,
    source_model TEXT NOT NULL,
    source_version TEXT NOT NULL,
    target_model TEXT NOT NULL,
    target_version TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (source_registry, source_identity, target_registry, target_identity)
)
 WITHOUT ROWID
;
CREATE TABLE digests (
    registry TEXT NOT NULL,
    identity TEXT NOT NULL,
    value TEXT NOT NULL,
    basis TEXT NOT NULL,
    manifest TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (registry, identity)
);
CREATE TABLE edges (
    src TEXT NOT NULL,
    dst TEXT NOT NULL,
    relation TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (src, dst, relation)
)
 WITHOUT ROWID
;
CREATE TABLE effects (
    intent_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    "key" TEXT NOT NULL,
    registry TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT,
    identity TEXT,
    field TEXT NOT NULL,
    "before" TEXT,
    "after" TEXT,
    state TEXT NOT NULL,
    updated_at BIGINT,
    PRIMARY KEY (intent_id, sequence),
    FOREIGN KEY(intent_id) REFERENCES intents (id),
    CONSTRAINT effects_once UNIQUE (intent_id, "key")
);
INSERT INTO "effects" VALUES('promotion-2952b7e091144613abca45434cd7ae59',1,'14fbc9b8c9fe53187ca1d040a06b19f9e624eb89d65b93d0c774c232e845d6f1','lab','churn','1','7705a2abd82d421a928adc22a03747df','stage','"none"','"production"','done',1795462675883929);
INSERT INTO "effects" VALUES('change-0a86ed0034ae46a8a03158d705cda384',1,'85bbbe6857000ff256dd6424ad675fec06e4d2074cb131a9aeaa8a97d3ccf8b9','lab','churn','2','b25f5696d66d46459901050a97b0d036','tags','{}','{"dataset":"may"}','done',1795462676131947);
INSERT INTO "effects" VALUES('change-8289f66a5ec8477c9eea3650ea820144',1,'750b5e04c9762bfd656c1149aaa04f016232fb70b083b7489458a4f3a93c7a12','lab','churn',NULL,NULL,'alias:champion',NULL,'"1"','done',1795462676389788);
INSERT INTO "effects" VALUES('promotion-092b40686ac0458fb010f21172b9b130',1,'b02ba186bd6e9a0d25fe1a77516f1901ee55625c52f00e834ebfc76e33ed1a81','lab','churn','2','b25f5696d66d46459901050a97b0d036','stage','"none"','"staging"','done',1795462676542457);
INSERT INTO "effects" VALUES('promotion-cda69f687d6f42e5965ddf00af1bf97e',1,'24cf82ee1c7a6f9994d8791968618503c456586a511c5b6b0718aa98c30922ac','lab','churn','2','b25f5696d66d46459901050a97b0d036','stage','"staging"','"production"','planned',NULL);
CREATE TABLE facets (
    registry TEXT NOT NULL,
    stage TEXT NOT NULL,
    approval TEXT NOT NULL,
    versions BIGINT NOT NULL,
    PRIMARY KEY (registry, stage, approval)
)
 WITHOUT ROWID
;
INSERT INTO "facets" VALUES('lab','none','none',0);
INSERT INTO "facets" VALUES('lab','production','none',1);
INSERT INTO "facets" VALUES('lab','staging','none',1);
CREATE TABLE intents (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    authenticated BOOLEAN NOT NULL,
    "plan" TEXT NOT NULL,
    reason TEXT,
    result TEXT,
    error TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
INSERT INTO "intents" VALUES('promotion-2952b7e091144613abca45434cd7ae59','promotion','succeeded','ana',0,'{"effects":[{"after":"production","before":"none","field":"stage","identity":"7705a2abd82d421a928adc22a03747df","intent_id":"","model":"churn","registry":"lab","sequence":0,"state":"planned","updated_at":null,"version":"1"}],"holders_before":[],"ref":"lab:churn@version:1","stage":"production"}','first release','{"effects":[{"field":"stage","model":"churn","registry":"lab","version":"1"}]}',NULL,1795462674251068,1795462676017524);
INSERT INTO "intents" VALUES('change-0a86ed0034ae46a8a03158d705cda384','change','succeeded','bob',0,'{"effects":[{"after":{"dataset":"may"},"before":{},"field":"tags","identity":"b25f5696d66d46459901050a97b0d036","intent_id":"","model":"churn","registry":"lab","sequence":0,"state":"planned","updated_at":null,"version":"2"}]}','where it comes from','{"effects":[{"field":"tags","model":"churn","registry":"lab","version":"2"}]}',NULL,1795462676091757,1795462676194066);
INSERT INTO "intents" VALUES('change-8289f66a5ec8477c9eea3650ea820144','change','succeeded','ana',0,'{"effects":[{"after":"1","before":null,"field":"alias:champion","identity":null,"intent_id":"","model":"churn","registry":"lab","sequence":0,"state":"planned","updated_at":null,"version":null}]}',NULL,'{"effects":[{"field":"alias:champion","model":"churn","registry":"lab","version":null}]}',NULL,1795462676214594,1795462676481473);
INSERT INTO "intents" VALUES('promotion-092b40686ac0458fb010f21172b9b130','promotion','succeeded','bob',0,'{"effects":[{"after":"staging","before":"none","field":"stage","identity":"b25f5696d66d46459901050a97b0d036","intent_id":"","model":"churn","registry":"lab","sequence":0,"state":"planned","updated_at":null,"version":"2"}],"holders_before":[],"ref":"lab:churn@version:2","stage":"staging"}','try it','{"effects":[{"field":"stage","model":"churn","registry":"lab","version":"2"}]}',NULL,1795462676507153,1795462676563980);
INSERT INTO "intents" VALUES('promotion-cda69f687d6f42e5965ddf00af1bf97e','promotion','running','bob',0,'{"effects":[{"after":"production","before":"staging","field":"stage","identity":"b25f5696d66d46459901050a97b0d036","intent_id":"","model":"churn","registry":"lab","sequence":0,"state":"planned","updated_at":null,"version":"2"}],"holders_before":["1"],"ref":"lab:churn@version:2","stage":"production"}','second release',NULL,NULL,1795462676573054,1795462676579696);
CREATE TABLE journal (
    sequence INTEGER NOT NULL,
    recorded_at BIGINT NOT NULL,
    action TEXT NOT NULL,
    registry TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT,
    identity TEXT,
    actor TEXT NOT NULL,
    authenticated BOOLEAN NOT NULL,
    "before" TEXT,
    "after" TEXT,
    reason TEXT,
    origin TEXT NOT NULL,
    not_before BIGINT,
    intent_id TEXT,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (sequence)
);
INSERT INTO "journal" VALUES(1,1795462675883929,'stage_set','lab','churn','1','7705a2abd82d421a928adc22a03747df','ana',0,'"none"','"production"','first release','ours',NULL,'promotion-2952b7e091144613abca45434cd7ae59','0000000000000000000000000000000000000000000000000000000000000000','6cf99b40d0533c217835bd73d33a113994e6123a335b2dfeb885196c5d5862cd');
INSERT INTO "journal" VALUES(2,1795462676131947,'tags_set','lab','churn','2','b25f5696d66d46459901050a97b0d036','bob',0,'{"dataset":null}','{"dataset":"may"}','where it comes from','ours',NULL,'change-0a86ed0034ae46a8a03158d705cda384','6cf99b40d0533c217835bd73d33a113994e6123a335b2dfeb885196c5d5862cd','5c57128c41dd3d82a96f5f1b9885d38bea3f07d869ab498c6b08af969e13ee8c');
INSERT INTO "journal" VALUES(3,1795462676389788,'alias_set','lab','churn','1',NULL,'ana',0,NULL,'{"alias":"champion","version":"1"}',NULL,'ours',NULL,'change-8289f66a5ec8477c9eea3650ea820144','5c57128c41dd3d82a96f5f1b9885d38bea3f07d869ab498c6b08af969e13ee8c','2b5448ea344ebbe6336fcca7af424292fce44a51a0cc3c814d5f5280ee149238');
INSERT INTO "journal" VALUES(4,1795462676542457,'stage_set','lab','churn','2','b25f5696d66d46459901050a97b0d036','bob',0,'"none"','"staging"','try it','ours',NULL,'promotion-092b40686ac0458fb010f21172b9b130','2b5448ea344ebbe6336fcca7af424292fce44a51a0cc3c814d5f5280ee149238','48ca35c587d4df87f7d20fc754c664ef5a3d9958429273882d8f70a9c2e6e367');
CREATE TABLE labels (
    registry TEXT NOT NULL,
    kind TEXT NOT NULL,
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    model TEXT NOT NULL,
    version_sort TEXT NOT NULL,
    version_id INTEGER NOT NULL,
    PRIMARY KEY (registry, kind, "key", value, model, version_sort)
)
 WITHOUT ROWID
;
INSERT INTO "labels" VALUES('lab','tag','team','growth','churn','',-1);
INSERT INTO "labels" VALUES('lab','alias','champion','','churn','000000000000000000001:1',1);
INSERT INTO "labels" VALUES('lab','stage','production','','churn','000000000000000000001:1',1);
INSERT INTO "labels" VALUES('lab','stage','staging','','churn','000000000000000000002:2',2);
INSERT INTO "labels" VALUES('lab','tag','dataset','may','churn','000000000000000000002:2',2);
CREATE TABLE meta (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('cursor_key','442c0cc72bcf0c479371e3a2d61576585f3463e64fee3c51858929e432c7b7ac');
CREATE VIRTUAL TABLE model_text USING fts5(text, tokenize = 'trigram');
INSERT INTO model_text (rowid, text) VALUES (1, 'churn
who leaves
team=growth');
CREATE TABLE models (
    id INTEGER NOT NULL,
    registry TEXT NOT NULL,
    name TEXT NOT NULL,
    content_hash BLOB,
    document BLOB,
    observed_at BIGINT NOT NULL,
    versions BIGINT DEFAULT '0' NOT NULL,
    leading_id INTEGER,
    stages TEXT,
    PRIMARY KEY (id),
    CONSTRAINT models_by_name UNIQUE (registry, name)
);
INSERT INTO "models" VALUES(1,'lab','churn',X'35486227665ED442D0DAC625C2F4C55F',CAST('{"registry":"lab","name":"churn","native_name":"churn","description":"Who leaves","tags":{"team":"growth"},"aliases":{},"created_at":"2026-11-23T19:37:53.777000Z","updated_at":"2026-11-23T19:37:53.786000Z","held_by_gateway":[]}' AS BLOB),1795462673827403,2,1,'{"production":"1","staging":"2"}');
CREATE TABLE nodes (
    "key" TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY ("key")
)
 WITHOUT ROWID
;
CREATE TABLE overflow (
    registry TEXT NOT NULL,
    identity TEXT NOT NULL,
    field TEXT NOT NULL,
    value TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (registry, identity, field)
)
 WITHOUT ROWID
;
CREATE TABLE scans (
    registry TEXT NOT NULL,
    cursor TEXT,
    sweep_started_at BIGINT,
    completed_at BIGINT,
    error TEXT,
    PRIMARY KEY (registry)
);
INSERT INTO "scans" VALUES('lab','{"since": 3}',NULL,1795462673811779,NULL);
CREATE TABLE version_documents (
    version_id INTEGER NOT NULL,
    document BLOB NOT NULL,
    PRIMARY KEY (version_id),
    FOREIGN KEY(version_id) REFERENCES versions (id) ON DELETE CASCADE
);
INSERT INTO "version_documents" VALUES(1,CAST('{"registry":"lab","model":"churn","version":"1","identity":"7705a2abd82d421a928adc22a03747df","status":"ready","status_message":null,"stage":"production","stages":["production"],"native_stages":["production"],"approval":"none","approval_comment":null,"aliases":["champion"],"tags":{},"description":"first","artifact_uri":"memory:churn/1","digest":null,"metrics":{},"params":{},"provenance":{"run_id":"run-first","source_uri":null,"git_commit":null,"git_repository":null,"created_by":null,"created_at":null,"extra":{}},"created_at":"2026-11-23T19:37:53.780000Z","updated_at":"2026-11-23T19:37:56.333000Z","held_by_gateway":[]}' AS BLOB));
INSERT INTO "version_documents" VALUES(2,CAST('{"registry":"lab","model":"churn","version":"2","identity":"b25f5696d66d46459901050a97b0d036","status":"ready","status_message":null,"stage":"staging","stages":["staging"],"native_stages":["staging"],"approval":"none","approval_comment":null,"aliases":[],"tags":{"dataset":"may"},"description":"second","artifact_uri":"memory:churn/2","digest":null,"metrics":{},"params":{},"provenance":{"run_id":"run-second","source_uri":null,"git_commit":null,"git_repository":null,"created_by":null,"created_at":null,"extra":{}},"created_at":"2026-11-23T19:37:53.786000Z","updated_at":"2026-11-23T19:37:56.538000Z","held_by_gateway":[]}' AS BLOB));
CREATE TABLE versions (
    id INTEGER NOT NULL,
    registry TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    version_sort TEXT NOT NULL,
    identity TEXT NOT NULL,
    stage TEXT NOT NULL,
    stage_rank INTEGER NOT NULL,
    stage_since BIGINT,
    stage_since_basis TEXT,
    set_by TEXT,
    approval TEXT NOT NULL,
    approved_by TEXT,
    approved_at BIGINT,
    aliases TEXT,
    digest TEXT,
    digest_basis TEXT,
    content_hash BLOB NOT NULL,
    observed_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT versions_by_name UNIQUE (registry, model, version)
);
INSERT INTO "versions" VALUES(1,'lab','churn','1','000000000000000000001:1','7705a2abd82d421a928adc22a03747df','production',0,1795462675883929,'journal','ana','none',NULL,NULL,'["champion"]',NULL,NULL,X'4F687E7B000ACF9C4A16E74ABEFCCF32',1795462676389788);
INSERT INTO "versions" VALUES(2,'lab','churn','2','000000000000000000002:2','b25f5696d66d46459901050a97b0d036','staging',1,1795462676542457,'journal','bob','none',NULL,NULL,'[]',NULL,NULL,X'B1C40341CA52CD2A1174FB03AC76164B',1795462676542457);
CREATE INDEX counterparts_by_target ON counterparts (target_registry, target_identity);
CREATE INDEX edges_by_target ON edges (dst, src);
CREATE INDEX intents_by_state ON intents (state, created_at, id);
CREATE INDEX intents_by_time ON intents (created_at, id);
CREATE INDEX journal_by_actor ON journal (actor, sequence);
CREATE INDEX journal_by_identity ON journal (identity, sequence);
CREATE INDEX journal_by_time ON journal (recorded_at, sequence);
CREATE INDEX journal_by_version ON journal (registry, model, version, sequence);
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE INDEX labels_by_version ON labels (version_id);
CREATE INDEX versions_by_identity ON versions (registry, identity);
CREATE INDEX versions_in_order ON versions (registry, model, version_sort);
CREATE TRIGGER facets_gain AFTER INSERT ON versions BEGIN INSERT INTO facets (registry, stage, approval, versions) VALUES (new.registry, new.stage, new.approval, 1) ON CONFLICT (registry, stage, approval) DO UPDATE SET versions = versions + 1; END;
CREATE TRIGGER facets_lose AFTER DELETE ON versions BEGIN UPDATE facets SET versions = versions - 1 WHERE registry = old.registry AND stage = old.stage AND approval = old.approval; END;
CREATE TRIGGER facets_move AFTER UPDATE OF registry, stage, approval ON versions WHEN new.registry <> old.registry OR new.stage <> old.stage OR new.approval <> old.approval BEGIN UPDATE facets SET versions = versions - 1 WHERE registry = old.registry AND stage = old.stage AND approval = old.approval; INSERT INTO facets (registry, stage, approval, versions) VALUES (new.registry, new.stage, new.approval, 1) ON CONFLICT (registry, stage, approval) DO UPDATE SET versions = versions + 1; END;
COMMIT;
