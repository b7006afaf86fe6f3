"""UperNet's norms where SyncBN cannot run."""


def replace_sync_bn(cfg: object) -> None:
    """Turn every ``type='SyncBN'`` below a config entry into ``BN``, in place.

    With one process mmengine does so by itself; several processes without a GPU need this.
    """
    if isinstance(cfg, dict):
        if cfg.get("type") == "SyncBN":
            cfg["type"] = "BN"
        cfg = list(cfg.values())
    if isinstance(cfg, (list, tuple)):
        for entry in cfg:
            replace_sync_bn(entry)
