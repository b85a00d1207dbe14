"""The weights that ship with ``avse``, each with its model card; installed as the package ``avse_checkpoints``."""
