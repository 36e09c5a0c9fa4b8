"""The screens' one-call reads: plant now, a machine's day, yesterday, the wall, system health; and the actions of the morning meeting."""
