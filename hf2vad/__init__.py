"""hf2vad finds the unusual moments in video archives: flow reconstruction and flow-guided frame prediction at scale."""

__version__ = "0.1.0"
