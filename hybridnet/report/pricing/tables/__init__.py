"""Published tables that `hybridnet audit` derives again."""
