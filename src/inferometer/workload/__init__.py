"""WHAT to send: data sets and token counting, as iterators of requests."""

from inferometer.workload.feed import RowFeed
from inferometer.workload.open import DATASETS, open_dataset
from inferometer.workload.request import Dataset, DatasetInfo, Request, Tokenizer, Turn
from inferometer.workload.tokenizer_file import load_tokenizer

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "Request",
    "RowFeed",
    "Tokenizer",
    "Turn",
    "load_tokenizer",
    "open_dataset",
]
