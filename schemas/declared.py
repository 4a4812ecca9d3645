"""Every declared relation: importing this module fills ``schemas.relation.RELATIONS``."""

from schemas import core, decisions, facts, history, run, worklists

LAYERS = (run, core, facts, decisions, worklists, history)
