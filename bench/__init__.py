"""Speed and memory of wsinspect against baselines, as ratios within one run: `uv run python -m bench`."""
