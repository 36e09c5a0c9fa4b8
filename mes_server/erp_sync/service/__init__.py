"""Use cases of the ERP border: what comes in (inbound), what goes out (outbox), what a person decides (desk)."""
