"""Services that follow a training from outside of its run folder; each needs a package of its own."""

from typing import Literal

from pydantic import PositiveFloat

from segkit.config.component import component


@component
class WandbConfig:
    """Weights & Biases; ``pip install 'segkit[wandb]'``. The key comes from ``wandb login`` or WANDB_API_KEY."""

    enabled: bool = False
    """Send scalars, overlays and the configuration."""
    project: str = "segkit"
    """Project of the run."""
    entity: str | None = None
    """User or team; null is the default of the account."""
    name: str | None = None
    """Name of the run; null is that of the run and its folder."""
    group: str | None = None
    """Group of the run, such as a sweep."""
    tags: tuple[str, ...] = ()
    """Words to find the run by."""
    mode: Literal["online", "offline"] | None = None
    """offline writes into the run folder, for ``wandb sync``; null goes by WANDB_MODE."""


@component
class MlflowConfig:
    """MLflow; ``pip install 'segkit[mlflow]'``. Passwords belong into MLFLOW_TRACKING_PASSWORD, not into the URI."""

    enabled: bool = False
    """Send scalars, overlays, the configuration and the report."""
    tracking_uri: str | None = None
    """Server (``http://host:5000``) or database (``sqlite:////data/mlflow.db``); null goes by MLFLOW_TRACKING_URI."""
    experiment: str = "segkit"
    """Experiment of the run; it is made if it does not exist."""
    name: str | None = None
    """Name of the run; null is that of the run and its folder."""
    close_timeout_s: PositiveFloat = 60.0
    """Wait so long at the end for what is still on its way."""
