"""Tests of the SageMaker adapter and its stand-in."""
