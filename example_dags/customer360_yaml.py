"""Builds the Airflow DAG of customer360_yaml.yml with dag-factory.

Airflow looks only into files that contain both words, airflow and dag.
"""

from pathlib import Path

from dagfactory import load_yaml_dags

load_yaml_dags(globals_dict=globals(), config_filepath=str(Path(__file__).with_suffix(".yml")))
