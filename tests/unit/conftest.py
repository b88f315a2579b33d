"""How property tests run here."""

from hypothesis import settings

# A machine that is busy makes an example slow, and no answer wrong.
settings.register_profile("hubfleet", deadline=None)
settings.load_profile("hubfleet")
