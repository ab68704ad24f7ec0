"""What the tests of the roles need."""

import os

import pytest
from programs import MissingProgramError, find_program


@pytest.fixture(autouse=True, scope="session")
def ansible() -> None:
    """Skip where there is no Ansible, or fail where all of it should run."""
    try:
        find_program("ansible-playbook")
    except MissingProgramError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
