"""Registry service and client of Eastwest: where service names are mapped to locations."""
