"""The frame of every page: headings, and links that lead to them."""

import re

from hypothesis import given
from hypothesis import strategies as st

from edgevid_train.evaluate.page import document


@given(st.lists(st.text(max_size=6), min_size=1, max_size=8, unique=True))
def test_every_link_leads_to_a_section_of_its_own(names: list[str]) -> None:
    page = document("t", [], dict.fromkeys(names, "<p>x</p>"))
    links, sections = re.findall(r'<a href="#([^"]*)">', page), re.findall(r'<section id="([^"]*)">', page)
    assert links == sections
    assert len(set(sections)) == len(names)


def test_labels_that_differ_in_a_hyphen_have_links_of_their_own() -> None:
    page = document("t", [], {"pick up": "a", "pick-up": "b", "pick up 2": "c"})
    assert re.findall(r'<section id="([^"]*)">', page) == ["pick-up", "pick-up-2", "pick-up-2-2"]
