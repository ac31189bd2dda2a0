from pathlib import Path
ROOTLESS_STORE = Path("/nonexistent")
