"""What each route does, by resource: read the request, call a service, hand back its answer."""
