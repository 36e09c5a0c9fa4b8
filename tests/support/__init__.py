"""Helpers the tests share: real services on free ports, waiting without sleeping blindly."""
