"""The Hugging Face Hub: the adapter and the local stand-in it is tested against."""
