"""Average precision of tracks, as the evaluators of LV-VIS, BURST, YouTube-VIS and COCO count it.

`temporal_iou` and `average_precision` are pure functions, `Evaluator` gathers records and gives a `Report`.
"""
