"""Azure Machine Learning: a workspace's models, or a registry's."""
