"""The three stages. Agents meet only in topics."""
