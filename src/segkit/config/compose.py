"""From command-line overrides to the typed configuration. Hydra composes, we validate."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from segkit.config import hydra_source, store
from segkit.config.segmentor import SegmentorConfig
from segkit.config.spelling import hint
from segkit.config.validate import load_plugins, validate
from segkit.errors import ConfigError, Problem


@dataclass(frozen=True)
class Composed:
    """What Hydra made of the overrides.

    Attributes:
        tree: the resolved configuration as plain data, not yet validated.
        choices: group -> the option taken.
        overrides: the override of each dotted path, for messages.
        problems: options that do not exist; the tree is composed without them.
        hydra: Hydra's own part: launcher, sweeper, folders.
    """

    tree: dict[str, Any]
    choices: Mapping[str, str]
    overrides: Mapping[str, Override]
    problems: Sequence[Problem]
    hydra: DictConfig


def compose(
    overrides: Sequence[str] = (), config_dir: str | Path | None = None, *, training: bool = True
) -> SegmentorConfig:
    """The configuration that ``segkit-train`` would use with these overrides.

    Args:
        overrides: as on the command line, for example ``["+experiment=quickstart", "scheduler.max_epochs=3"]``.
        config_dir: a folder with YAML groups of your own, searched besides segkit's.
        training: check what only a training needs, too.

    Raises:
        ConfigError: with every mistake, at its path.
    """
    folders = (Path(config_dir),) if config_dir else ()
    composed = compose_tree(overrides, folders)
    problems = list(composed.problems)
    try:
        config = validate(composed.tree, training=training)
    except ConfigError as error:
        # What hangs on an option that does not exist cannot be judged.
        failed = tuple(f"{problem.path}." for problem in problems)
        if "experiment." not in failed:
            problems += [_traced(p, composed, folders) for p in error.problems if not p.path.startswith(failed)]
    if problems:
        raise ConfigError(problems)
    return config


def compose_tree(overrides: Sequence[str], folders: tuple[Path, ...] = ()) -> Composed:
    """Composes without validating.

    Raises:
        ConfigError: if Hydra cannot: a folder that does not exist, a broken YAML file, bad syntax.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError([Problem("--config-dir", f"no folder {folder}")])
    parsed = parse(overrides)
    load_plugins(_plugins(parsed))
    hydra_source.register()
    lines, problems = normalise(parsed, folders)
    with hydra_errors(folders, problems), initialize_config_dir(str(store.conf_folder()), **hydra_version()):
        cfg = hydra_compose("config", overrides=[*lines, *search_path(folders)], return_hydra_config=True)
        choices = dict(cfg.hydra.runtime.choices)
        parts = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        tree: Any = OmegaConf.to_container(parts, resolve=True, throw_on_missing=True)
    _name_run(tree, choices)
    return Composed(tree, choices, {o.key_or_group: o for o in parsed}, problems, cfg.hydra)


@contextmanager
def hydra_errors(folders: tuple[Path, ...] = (), problems: Sequence[Problem] = ()) -> Iterator[None]:
    """Turns what Hydra raises into a problem beside those that are known already.

    Raises:
        ConfigError: in place of Hydra's, OmegaConf's and YAML's errors.
    """
    try:
        yield
    except yaml.YAMLError as error:
        raise ConfigError([_yaml_problem(error)]) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([*problems, _hydra_problem(error, folders)]) from None


def search_path(folders: tuple[Path, ...]) -> list[str]:
    """The override that lets Hydra look into folders of the user's own."""
    places = ",".join(f"file://{folder.resolve()}" for folder in folders)
    return [f"hydra.searchpath=[{places}]"] if folders else []


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every job of a multirun, as Hydra's basic sweeper splits them.

    Raises:
        ConfigError: naming each override that cannot be read, or has no list of values.
    """
    choices: dict[str, list[str]] = {}  # the last of two overrides of one key counts
    for override in parse(overrides):
        line, key = str(override.input_line), override.key_or_group
        if not override.is_sweep_override():
            choices[key] = [line]
        elif override.is_discrete_sweep():
            choices[key] = [f"{line.partition('=')[0]}={value}" for value in override.sweep_string_iterator()]
        else:
            text = "has no list of values to try; a sweeper such as hydra/sweeper=optuna draws from an interval"
            raise ConfigError([Problem(key, text, "on the command line")])
    return [list(job) for job in product(*choices.values())]


def read_job(cfg: DictConfig, choices: Mapping[str, str]) -> SegmentorConfig:
    """The typed configuration of one job that Hydra composed.

    Args:
        cfg: what Hydra hands to a job.
        choices: group -> the option taken.

    Raises:
        ConfigError: with every mistake, at its path.
    """
    parts = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    tree: Any = OmegaConf.to_container(parts, resolve=True, throw_on_missing=True)
    _name_run(tree, choices)
    return validate(tree)


def hydra_version() -> dict[str, str]:
    """Hydra 1.3 wants ``version_base``; 1.4 warns of it."""
    return {"version_base": "1.3"} if version("hydra-core").startswith("1.3") else {}


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parses overrides with Hydra's grammar.

    Raises:
        ConfigError: naming each one that is not ``key=value``.
    """
    parsed, problems = [], []
    for line in overrides:
        try:
            parsed.append(OverridesParser.create().parse_override(line))
        except (OverrideParseException, HydraException):
            problems.append(Problem("", f"cannot read the override {line!r}; write key=value, quoted as 'key=\"a b\"'"))
    if problems:
        raise ConfigError(problems)
    return parsed


def normalise(parsed: Sequence[Override], folders: tuple[Path, ...] = ()) -> tuple[list[str], list[Problem]]:
    """Rewrites overrides so that Hydra takes each, and a mistake is found by the validation, with all others.

    Values are forced in (``++``), so an unknown key is reported by its nearest spelling, whether or not it came with
    a plus; options get the plus that they need, so ``experiment=x`` and ``+experiment=x`` are the same.

    Returns:
        The overrides for Hydra, and a problem for each option or group that does not exist.
    """
    known = store.groups(folders)
    default_groups = _default_groups()
    lines, problems = [], []
    for override in parsed:
        line = str(override.input_line)
        key = override.key_or_group
        body = line.lstrip("+")
        if override.is_delete() or key.startswith("hydra"):
            lines.append(line)
        elif key in known and not isinstance(override.value(), dict):
            missing = _missing_options(override, folders)
            problems += missing
            lines += [] if missing else [body if key in default_groups else f"+{body}"]
        elif "/" in key or override.package is not None:
            problems.append(Problem(key, f"no group is called {key!r}{hint(key, known)}; groups: {', '.join(known)}"))
        else:
            # A whole component takes the place of the default one; any other mapping is merged into it.
            lines += [f"~{key}"] * (key in default_groups and _is_whole(override.value()))
            lines.append(f"++{body}")
    return lines, problems


def _is_whole(value: Any) -> bool:
    """Whether a value describes a component, or several by name."""
    named = isinstance(value, dict) and value
    return bool(named) and ("type" in value or all(isinstance(v, dict) and "type" in v for v in value.values()))


def _default_groups() -> set[str]:
    defaults = yaml.safe_load((store.conf_folder() / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    return {key.removeprefix("override ").lstrip("/") for entry in defaults if isinstance(entry, dict) for key in entry}


def _missing_options(override: Override, folders: tuple[Path, ...]) -> list[Problem]:
    group = override.key_or_group
    found = store.options(group, folders)
    value = override.value()
    names = (
        value
        if isinstance(value, list)
        else [*override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [value]
    )
    return [
        Problem(
            group, f"no option is called {str(name)!r}{hint(str(name), found)}; options: {', '.join(sorted(found))}"
        )
        for name in names
        if name is not None and str(name) not in found
    ]


def _plugins(parsed: Sequence[Override]) -> list[str]:
    """Plug-ins named on the command line; their components must be options before Hydra composes."""
    names = [o.value() for o in parsed if o.key_or_group == "plugins"]
    return [str(name) for value in names if isinstance(value, list) for name in value]


def _name_run(tree: dict[str, Any], choices: Mapping[str, str]) -> None:
    trainer = tree.get("trainer")
    if isinstance(trainer, dict) and not trainer.get("name"):
        parts = [choices.get(group) for group in ("head", "backbone", "dataset")]
        trainer["name"] = choices.get("experiment") or "_".join(str(part).lower() for part in parts if part)


def _yaml_problem(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    where = f"{Path(mark.name).name}, line {mark.line + 1}, column {mark.column + 1}" if mark else "a YAML file"
    return Problem("", f"{where}: {getattr(error, 'problem', None) or error}")


def _hydra_problem(error: Exception, folders: tuple[Path, ...]) -> Problem:
    """Hydra's and OmegaConf's first line, with the path they give; for a missing option, the nearest spelling."""
    missing = re.search(r"Could not find '([^']+)/([^/']+)'", str(error))
    if missing and missing[1].startswith("hydra/"):  # Hydra knows the options of plug-ins
        group, name = missing.groups()
        listed = str(error).partition("Available options")[2].partition("Config search path")[0]
        names = sorted(re.findall(r"^\t(\w+)", listed, re.MULTILINE))
        return Problem(group, f"no option is called {name!r}{hint(name, names)}; options: {', '.join(names)}")
    if missing:
        group, name = missing.groups()
        found = store.options(group, folders)
        text = f"a file asks for {name!r}, which is no option{hint(name, found)}; options: {', '.join(sorted(found))}"
        return Problem(group, text)
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    path = str(getattr(cause, "full_key", "") or "")
    if path.startswith("hydra.") and isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        known = [str(key) for key in cause.parent_node or () if key != "_target_"]
        name = path.rpartition(".")[2]
        return Problem(path, f"unknown key{hint(name, known)}; known keys: {', '.join(known)}")
    lines = str(cause).strip().split("\n")
    return Problem(path, " ".join(line.strip() for line in (lines[:2] if lines[0].endswith(":") else lines[:1])))


def _traced(problem: Problem, composed: Composed, folders: tuple[Path, ...]) -> Problem:
    """The problem with its origin, and with the way out where a file sets a key that another option does not have."""
    origin = _origin(problem.path, composed, folders)
    message = problem.message
    if problem.path == "experiment":
        message = "this experiment file lacks its first line: # @package _global_"
    if origin.startswith("in ") and message.startswith("unknown key"):
        message += f"; ~{problem.path} on the command line takes it out"
    return replace(problem, message=message, origin=origin)


def _origin(path: str, composed: Composed, folders: tuple[Path, ...]) -> str:
    """Where the value at ``path`` was set, as far as it can be told."""
    for key in composed.overrides:
        above = path.startswith(f"{key}.") and key not in composed.choices
        if path == key or above or key.startswith(f"{path}."):
            return "on the command line"
    for group in ("experiment", *composed.choices):
        option = composed.choices.get(group)
        file = Path(store.options(group, folders).get(str(option), ""))
        if file.suffix == ".yaml" and _holds(file, path if group == "experiment" else path.removeprefix(f"{group}.")):
            return f"in {group}/{file.name}"
    return ""


def _holds(file: Path, path: str) -> bool:
    node = yaml.safe_load(file.read_text(encoding="utf-8"))
    for key in path.split("."):
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def dump_yaml(tree: Mapping[str, Any]) -> str:
    """A configuration as YAML that can be composed again as it is."""
    return yaml.safe_dump(json.loads(json.dumps(tree)), sort_keys=False, allow_unicode=True)
