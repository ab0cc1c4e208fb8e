# The reference's hardware. The other variables are of the account: terraform.tfvars, not in git.
environment = "production"
size        = "small"
