"""Label Studio's side of a black box: it answers clicks and boxes, and learns from what people submit."""
