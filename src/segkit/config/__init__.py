"""Every knob: dataclasses, composition, validation. No torch here."""
