"""Google Vertex AI Model Registry."""
