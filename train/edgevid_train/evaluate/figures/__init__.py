"""Numbers from answers: shares and their intervals, two models compared. No pixels here."""
