"""Why an event is one: pictures of its peak, what the network made of it, normal examples like it, clips."""
