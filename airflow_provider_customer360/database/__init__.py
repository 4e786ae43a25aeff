"""What reading and publishing share: connections, names of tables, failures of drivers."""
