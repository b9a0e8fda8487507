"""What seed_table.py is made of: the sheets, single runs, intervals, the table and its picture."""
