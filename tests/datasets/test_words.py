import pytest

from ovvis.datasets.words import dataset_vocabulary
from ovvis.errors import InputError
from ovvis.evaluation.records import Category

TWINS = [Category(1, "Dog"), Category(2, "cat"), Category(7, "dog")]


def test_categories_that_differ_by_case_alone():
    with pytest.raises(InputError, match=r"the dataset's categories 'Dog' \(id 1\) and 'dog' \(id 7\) have one name"):
        dataset_vocabulary(TWINS)
    words, ids = dataset_vocabulary(TWINS, "dog, cat")
    assert (words.names, ids) == (("dog", "cat"), (7, 2))
    with pytest.raises(InputError, match=r"label 'DOG' may be each of the dataset's categories 'Dog' \(id 1\) and"):
        dataset_vocabulary(TWINS, "DOG")


def test_two_categories_of_one_name():
    twins = [Category(1, "dog"), Category(7, "dog")]
    for labels in (None, "dog"):
        with pytest.raises(InputError, match=r"dataset's categories 'dog' \(id 1\) and 'dog' \(id 7\)"):
            dataset_vocabulary(twins, labels)
