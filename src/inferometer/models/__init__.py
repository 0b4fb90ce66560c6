"""What a model needs: its configuration, its weights, what an engine can be refused for beforehand; tiny models."""
