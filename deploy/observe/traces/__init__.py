"""The receiver of traces of `make run OBSERVE=1`: keeps an hour of spans, and shows them."""
