"""A fitted model and its folder: configuration, vocabulary and tensors, saved and opened again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor

from hup.config import Section
from hup.data.dataset import Behavior, Dataset, refuse_path
from hup.data.item_columns import ITEM_COLUMNS, ItemColumns
from hup.data.manifest import ItemColumnsInfo, Preparation, SplitBounds
from hup.errors import HupError
from hup.readable import Readable, Summary
from hup.recommender.model_folder import (
    CONFIG,
    FORMAT_VERSION,
    METRICS,
    WEIGHTS,
    check_digests,
    digests,
    load_tensors,
    read_config,
    read_json,
    save_tensors,
    write_json,
)
from hup.recommender.vocabulary import CATEGORIES, ITEMS, Vocabulary

Part = TypeVar("Part")


class SavedModel(Readable, ABC):
    """What is fitted on a dataset and kept in a model folder.

    Parameters
    ----------
    config : Section, optional
        An instance of :attr:`options`; default: all defaults.

    Attributes
    ----------
    kind : str
        What is written into the model folder, so that :func:`hup.load` knows the class.
    options : type
        Class of the configuration.
    name : str
        What the model's row is called in tables; default its kind.
    metrics : dict
        How fitting ended.
    dataset_fingerprint, dataset_bounds, preparation
        Of the dataset it was fitted on; None before. The last one has the mapping by which its log is read.
    item_columns : ItemColumns or None
        What the shop says of its items, for those who read an answer; that of another dataset may take its place.
    """

    kind: ClassVar[str]
    options: ClassVar[type[Section]] = Section

    def __init__(self, config: Section | None = None) -> None:
        if config is not None and not isinstance(config, self.options):
            raise HupError(f"The configuration is {config!r:.200}, expected a {self.options.__name__}.")
        self.config = self.options() if config is None else config
        self.name = self.kind
        self.metrics: dict[str, Any] = {}
        self.dataset_fingerprint: str | None = None
        self.dataset_bounds: SplitBounds | None = None
        self.preparation: Preparation | None = None
        self.item_columns: ItemColumns | None = None
        self._vocabulary: Vocabulary | None = None

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that fitting has learned besides the vocabulary, by name; what ``model.safetensors`` holds."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what :meth:`tensors` gave; vocabulary and configuration are there already.

        Raises
        ------
        RuntimeError
            The tensors are not those of such a model; the message says which.
        """

    def _take(self, dataset: Dataset) -> None:
        """Take over the dataset's training vocabulary, and note which dataset it is."""
        refuse_path(dataset)
        self._vocabulary = Vocabulary.of(dataset)
        self.dataset_fingerprint = dataset.fingerprint
        self.dataset_bounds = dataset.manifest.split.bounds
        self.preparation = dataset.manifest.preparation
        self.item_columns = dataset.item_columns

    @property
    def vocabulary(self) -> Vocabulary:
        """Names and codes of the training split."""
        return self._fitted(self._vocabulary)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a model folder: weights, vocabulary, metrics, and last the configuration, which makes it complete.

        Raises
        ------
        HupError
            If the folder cannot be written, or is a dataset or a file.
        """
        folder = Path(folder)
        if folder.is_file() or (folder / "manifest.json").exists():
            raise HupError(f"{folder} is no place for a model; choose an empty or new folder.")
        vocabulary = self.vocabulary
        # A model that is being replaced is no model until the new one is whole.
        (folder / CONFIG).unlink(missing_ok=True)
        save_tensors(folder, self.tensors())
        vocabulary.save(folder)
        if self.item_columns is not None:
            self.item_columns.save(folder)
        else:
            (folder / ITEM_COLUMNS).unlink(missing_ok=True)
        write_json(folder / METRICS, self.metrics)
        content = {
            "format_version": FORMAT_VERSION,
            "model": self.kind,
            "name": self.name,
            "config": self.config.model_dump(mode="json"),
            "behaviors": [behavior.model_dump() for behavior in vocabulary.behaviors],
            "dataset_fingerprint": self.dataset_fingerprint,
            "dataset_bounds": self.dataset_bounds and self.dataset_bounds.model_dump(),
            "preparation": self.preparation and self.preparation.model_dump(mode="json"),
            "item_columns": self.item_columns and self.item_columns.info.model_dump(),
            "digests": digests(folder, (WEIGHTS, ITEMS, CATEGORIES)),
        }
        write_json(folder / CONFIG, content | self._more_config())

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Open a model folder.

        Raises
        ------
        HupError
            If it is no complete model folder of this kind and format.
        """
        folder = Path(folder)
        content = read_config(folder, cls.kind)
        try:
            model = cls(cls.options.validated(content["config"]))
            model.name = str(content["name"])
            behaviors = [Behavior.model_validate(behavior) for behavior in content["behaviors"]]
            model.dataset_fingerprint = content["dataset_fingerprint"]
            bounds = content["dataset_bounds"]
            model.dataset_bounds = bounds and SplitBounds.model_validate(bounds)
            preparation = content.get("preparation")
            model.preparation = preparation and Preparation.model_validate(preparation)
            carried = content.get("item_columns")
            items = carried and ItemColumnsInfo.model_validate(carried)
            model._take_config(content)
            written = dict(content["digests"])
        except (HupError, KeyError, TypeError, ValueError) as error:
            raise HupError(f"{folder / CONFIG} does not read as a model's configuration ({error!r}).") from error
        model._vocabulary = Vocabulary.load(folder, behaviors)
        model.item_columns = ItemColumns.open(folder, items)
        with load_tensors(folder) as tensors:
            model.restore(tensors)
        check_digests(folder, written)
        if (folder / METRICS).is_file():
            model.metrics = read_json(folder / METRICS)
        return model

    def _summary(self) -> Summary:
        known, rows = self._vocabulary, []
        if known is not None:
            sizes = ", ".join(f"{len(names):,}" for names in known.categories)
            rows += [("items", f"{len(known.items):,}"), ("categories", f"{sizes} (coarsest level first)")]
            rows.append(("behaviors", ", ".join(behavior.name for behavior in known.behaviors)))
        if self.dataset_fingerprint is not None:
            rows.append(("fitted on", f"dataset {self.dataset_fingerprint[:12]}"))
        if self.item_columns is not None:
            rows.append(("item columns", ", ".join(self.item_columns.names)))
        name = f" {self.name!r}" if self.name != self.kind else ""
        return Summary(f"{type(self).__name__} model{name}{'' if known is not None else ', not fitted'}", rows)

    def _more_config(self) -> dict[str, Any]:
        """Give what ``config.json`` holds besides what every model writes."""
        return {}

    def _take_config(self, content: Mapping[str, Any]) -> None:
        """Read back what :meth:`_more_config` wrote."""
        return

    def _fitted(self, part: Part | None) -> Part:
        if part is None:
            raise HupError(
                f"This model ({self.name}) is not fitted: call fit(dataset), or open one with hup.load(folder)."
            )
        return part
