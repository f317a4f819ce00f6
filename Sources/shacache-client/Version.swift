let clientVersion = "0.1"
