"""Amazon SageMaker Model Registry: the adapter and the local stand-in it is tested against."""
