

@cache
def own_operators():
    """Your own file of operators, if the workspace names one."""
    path = Path(__file__).with_name("chronon_operators.py")
    spec = spec_from_file_location(path.stem, path)
    operators = module_from_spec(spec)
    spec.loader.exec_module(operators)
    return operators


def own_kv_operator(dag, task):
    """What your `get_kv_store_upload_operator` makes for an online GroupBy, if anything."""
    if "conf" not in task:
        return None
    make = getattr(own_operators(), "get_kv_store_upload_operator", None)
    return make(dag, task["conf"], MANIFEST["teams"]) if make else None
