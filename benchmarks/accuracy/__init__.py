"""How accurate identity resolution is, record by record against known truth, for this package and its peers.

python -m benchmarks.accuracy.run --rows 1_000_000 --out accuracy.json
"""
