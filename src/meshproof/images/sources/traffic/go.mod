module meshproof/images/traffic

go 1.26
