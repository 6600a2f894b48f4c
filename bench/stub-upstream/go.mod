module weir.bench/stub-upstream

go 1.24
