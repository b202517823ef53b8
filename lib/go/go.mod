module handover/go

go 1.19
