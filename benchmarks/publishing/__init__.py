"""How long publishing takes: a first load and daily runs, beside the fastest and the usual ways to do it.

python -m benchmarks.publishing.run --rows 1_000_000
"""
