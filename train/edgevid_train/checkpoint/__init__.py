"""A checkpoint is a folder: weights, the resolved recipe, and what the weights are.

    model.safetensors   the weights that are validated and exported (their moving average, where the recipe has one)
    config.json         only of a network of transformers: what it needs to load the folder by itself
    members/            only of an ensemble, instead of weights: its members' checkpoints
    recipe.toml         every setting with its value
    checkpoint.json     `CheckpointInfo`: labels, split, epoch, figures
    trainer.pt          only in `last`: optimiser, counters and random states, for an exact resume

Weights are data, not code: nothing here unpickles anything but tensors and plain values.
"""

from edgevid_train.checkpoint.format import (
    INFO,
    MEMBERS,
    RECIPE,
    TRAINER,
    WEIGHTS,
    Checkpoint,
    CheckpointInfo,
    Kind,
    SplitInfo,
    kept_part,
    labels_of_checkpoint,
    read_info,
)
from edgevid_train.checkpoint.networks import (
    LoadedStudent,
    LoadedTeacher,
    check_same_labels,
    gather,
    load_student,
    load_teacher,
    write_ensemble,
)
from edgevid_train.checkpoint.places import (
    CONFUSION,
    CV,
    MEMORY,
    PRETRAINED_FIGURES,
    RECONSTRUCTION,
    ROOMS,
    beginning_of,
    checkpoint_of,
    checkpoints_of_folds,
    find_checkpoint,
    folds_of,
    trained_kind,
)
from edgevid_train.checkpoint.weights import digest_of_weights, load_fitting, load_state, load_trainer, load_weights

__all__ = [
    "CONFUSION",
    "CV",
    "INFO",
    "MEMBERS",
    "MEMORY",
    "PRETRAINED_FIGURES",
    "RECIPE",
    "RECONSTRUCTION",
    "ROOMS",
    "TRAINER",
    "WEIGHTS",
    "Checkpoint",
    "CheckpointInfo",
    "Kind",
    "LoadedStudent",
    "LoadedTeacher",
    "SplitInfo",
    "beginning_of",
    "check_same_labels",
    "checkpoint_of",
    "checkpoints_of_folds",
    "digest_of_weights",
    "find_checkpoint",
    "folds_of",
    "gather",
    "kept_part",
    "labels_of_checkpoint",
    "load_fitting",
    "load_state",
    "load_student",
    "load_teacher",
    "load_trainer",
    "load_weights",
    "read_info",
    "trained_kind",
    "write_ensemble",
]
