"""POST /v1/batch: what each message of Segment's comes to. test_segment_client.py sends with Segment's own client."""
