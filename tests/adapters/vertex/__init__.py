"""Tests of the Vertex AI adapter and its stand-in."""
