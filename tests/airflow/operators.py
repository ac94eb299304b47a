"""A user's file of operators, as `airflow.operators` of workspace.toml names it."""

try:
    from airflow.sdk import BaseOperator
except ImportError:
    from airflow.models.baseoperator import BaseOperator


class Load(BaseOperator):
    def __init__(self, *, table, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def execute(self, context):
        self.log.info("loaded %s", self.table)


def get_kv_store_upload_operator(dag, conf, team_conf):
    meta = conf["metaData"]
    assert meta["team"] in team_conf
    name = meta["name"].replace(".", "_")
    return Load(dag=dag, task_id=f"load__{name}", table=f"{meta['outputNamespace']}.{name}_upload")
