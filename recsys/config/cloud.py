"""Settings of `tandem train`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from recsys.config.settings import Settings


class PrepareSettings(Settings):
    """How the consented log becomes examples."""

    validation_fraction: float = Field(0.1, gt=0, lt=0.5)
    """The last share of each user's log, held out from retrieval: it stops training and teaches the ranker."""
    validation_from_ms: int = Field(0, ge=0)
    """Instead of a share of each user's log, everything from this moment on is held out; 0 takes the share."""
    max_validation_positives: int = Field(100_000, ge=1)
    """At most so many positives of a user are held out from retrieval, the latest."""
    num_shards: int = Field(4, ge=1)
    batch_rows: int = Field(65_536, ge=1)
    max_events_per_user: int = Field(100_000, ge=1)


class RetrievalSettings(Settings):
    """The two-tower retrieval model."""

    dim: int = Field(64, ge=4)
    history_length: int = Field(50, ge=1)
    num_blocks: int = Field(2, ge=1)
    num_heads: int = Field(2, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    id_dropout: float = Field(0.05, ge=0, lt=1)
    num_negatives: int = Field(4096, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(4e-3, gt=0)
    decay_epochs: int = Field(0, ge=0)
    """The rate falls to 0 over so many passes (cosine); 0 keeps it."""
    averaging: float = Field(0.999, ge=0, lt=1)
    """Momentum of the moving average of the weights, which is what is judged and kept."""
    max_epochs: int = Field(60, ge=1)
    patience: int = Field(4, ge=1)
    max_seconds: float = Field(900.0, gt=0)


class StatisticsSettings(Settings):
    """Item-to-item statistics: what follows what, and what is chosen beside what."""

    targets_per_item: int = Field(200, ge=1)
    window: int = Field(30, ge=1)
    """How many places after an item another one still counts as following it."""
    decay: float = Field(0.8, gt=0, le=1)
    popularity_exponent: float = Field(0.15, ge=0, le=1)
    max_items_per_user: int = Field(2_500, ge=2)
    ease_max_items: int = Field(10_000, ge=0)
    """The largest catalogue for which EASE is solved: its memory grows with the square of the items."""
    ease_targets_per_item: int = Field(400, ge=1)
    ease_regularisation: float = Field(400.0, gt=0)


class TaskWeights(Settings):
    """What each response is worth to the order of candidates; a task that the data does not have counts nothing."""

    click: float = Field(1.0, ge=0)
    """Any interest at all."""
    long_view: float = Field(1.0, ge=0)
    like: float = Field(2.0, ge=0)
    follow: float = Field(4.0, ge=0)
    gift: float = Field(4.0, ge=0)


class RankerSettings(Settings):
    """The cloud's ranker over retrieved candidates."""

    num_candidates: int = Field(100, ge=2)
    """Length of the list that the ranker scores and the device receives."""
    num_recent: int = Field(0, ge=0)
    """So many of them are what was chosen most of late, whatever the query vector says; at most half of the list."""
    asks: Literal["next", "period"] = "next"
    """What a training list is to foresee: the next item, or all that is chosen in the validation period, unseen."""
    lagging_share: float = Field(1.0, ge=0, le=1)
    """Lists in training, for each that is proposed, of which the cloud knows less than the query vector tells."""
    drawn_share: float = Field(0.25, ge=0, le=1)
    """Lists in training, for each that is proposed, whose items are drawn from the catalogue beside the choice."""
    hidden_units: tuple[int, ...] = (64, 32)
    num_cross_layers: int = Field(2, ge=1)
    match_units: int = Field(0, ge=0)
    """Learned projections of query × candidate that are inputs, too: of use with many lists, overfitting with few."""
    num_experts: int = Field(4, ge=1)
    """Mixed anew for each task, where the data has several."""
    task_weights: TaskWeights = TaskWeights()
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    """At first; it falls to 0 over `max_epochs` (cosine)."""
    averaging: float = Field(0.99, ge=0, lt=1)
    max_epochs: int = Field(12, ge=1)
    patience: int = Field(6, ge=1)
    max_examples: int = Field(40_000, ge=1)
    session_gap_s: float = Field(1_800.0, gt=0)
    """What one person was shown without a longer pause is one list, where the log tells of it."""


class IndexSettings(Settings):
    """The candidate index."""

    factory: str = "auto"
    """What `faiss.index_factory` reads; auto chooses by the size of the catalogue and `memory_mb`."""
    memory_mb: int = Field(4_096, ge=1)
    sample_per_cell: int = Field(128, ge=1)
    """Items that the cells and codes are learned from, for each cell that the catalogue would have."""
    shard_items: int = Field(250_000, ge=1)
    """Items that are added at once; shards are filled beside each other and merged."""
    recall_target: float = Field(0.96, ge=0, le=1)
    """Recall@100 up to which auto raises the effort of a search."""
    recall_floor: float = Field(0.95, ge=0, le=1)


class FineTuningSettings(Settings):
    """What `tandem train --fine-tune` does otherwise."""

    retrieval_max_epochs: int = Field(5, ge=1)
    retrieval_learning_rate: float = Field(1e-3, gt=0)
    ranker_max_epochs: int = Field(3, ge=1)
    ranker_learning_rate: float = Field(3e-4, gt=0)


class RunnerSettings(Settings):
    """Where the Beam stages run. It changes no result, and is no part of what a stage depends on."""

    name: Literal["embedded", "flink", "spark", "dataflow"] = "embedded"
    worker_command: str = "tandem-worker"
    parallelism: int = Field(2, ge=1)
    num_restarts: int = Field(3, ge=0)
    flink_master: str = "localhost:8081"
    flink_job_server_jar: Path = Path(".cache/flink/job-server.jar")
    spark_master: str = "spark://localhost:7077"
    spark_job_server_jar: Path = Path(".cache/spark/job-server.jar")
    dataflow_project: str = ""
    dataflow_region: str = ""
    dataflow_temp_location: str = ""
    dataflow_image: str = ""


class CloudSettings(Settings):
    """Everything that `tandem train` can be told."""

    prepare: PrepareSettings = PrepareSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    ranker: RankerSettings = RankerSettings()
    index: IndexSettings = IndexSettings()
    fine_tuning: FineTuningSettings = FineTuningSettings()
    runner: RunnerSettings = RunnerSettings()

    def for_fine_tuning(self) -> CloudSettings:
        """Returns these settings with the epochs and learning rates of fine-tuning in place of training's."""
        tuning = self.fine_tuning
        retrieval = {
            "max_epochs": tuning.retrieval_max_epochs,
            "learning_rate": tuning.retrieval_learning_rate,
            "decay_epochs": 0,
        }
        ranker = {"max_epochs": tuning.ranker_max_epochs, "learning_rate": tuning.ranker_learning_rate}
        return self.model_copy(
            update={
                "retrieval": self.retrieval.model_copy(update=retrieval),
                "ranker": self.ranker.model_copy(update=ranker),
            }
        )
