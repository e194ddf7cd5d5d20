"""Conversations with a real API server, replayed: as many steps agree as ever did (golden_floor)."""
from harness import golden

FLAGS = golden.API_FLAGS
missing = golden.missing


def test_resources(cluster):
    golden.replay(cluster, "resource")


def test_machinery(cluster):
    golden.replay(cluster, "api")


def test_access(cluster):
    for name in ("ext-access", "ext-node", "ext-rbac", "ext-token"):
        golden.replay(cluster, name)
