module meshproof/images/pause

go 1.26
