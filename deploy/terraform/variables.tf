variable "environment" {
  description = "Name of the environment, part of all names: production or staging."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,11}$", var.environment))
    error_message = "environment is 3 to 12 lower-case letters and digits, and begins with a letter."
  }
}

variable "size" {
  description = "Capacity: small is the reference's hardware, large is for registration day."
  type        = string
  default     = "small"

  validation {
    condition     = contains(["small", "large"], var.size)
    error_message = "size is small or large."
  }
}

variable "region" {
  description = "Region of the service."
  type        = string
  default     = "ap-southeast-2"
}

variable "replica_region" {
  description = "Region of the second copies of the images."
  type        = string
  default     = "ap-southeast-4"

  validation {
    condition     = var.replica_region != var.region
    error_message = "replica_region is another one than region."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, a /16."
  type        = string
  default     = "10.0.0.0/16"
}

variable "domain" {
  description = "Domain of the API; the images are at images.DOMAIN."
  type        = string
}

variable "hosted_zone_id" {
  description = "Route 53 zone of the domain."
  type        = string
}

variable "cors_origins" {
  description = "Origins of the front ends, exact: https://app.example.org."
  type        = list(string)

  validation {
    condition     = alltrue([for origin in var.cors_origins : can(regex("^https://[^/*]+$", origin))])
    error_message = "Each of cors_origins is https://HOST, without a path and without a wildcard."
  }
}

variable "redis_auth_tokens" {
  description = "First passwords of cache and broker, 16 to 128 characters; rotated outside Terraform."
  type        = object({ cache = string, broker = string })
  sensitive   = true

  validation {
    condition = alltrue([
      for token in values(var.redis_auth_tokens) : can(regex("^[A-Za-z0-9]{16,128}$", token))
    ])
    error_message = "Each of redis_auth_tokens is 16 to 128 letters and digits."
  }
}

variable "alarm_email" {
  description = "Address that the alarms are mailed to."
  type        = string
}

variable "waf_requests_per_five_minutes" {
  description = "Requests of one address in five minutes, above which WAF blocks it. A campus is one address."
  type        = number
  default     = 100000
}

variable "deletion_protection" {
  description = "Whether load balancer and databases refuse to be destroyed; false for a passing environment."
  type        = bool
  default     = true
}

variable "image_digest" {
  description = "Digest of the first image, sha256:…; releases change it afterwards."
  type        = string

  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "image_digest is sha256: and 64 hexadecimal digits."
  }
}

variable "log_retention_days" {
  description = "How long log groups keep their lines."
  type        = number
  default     = 365
}

variable "github_repository" {
  description = "OWNER/NAME of the repository whose workflows may assume the roles of CI."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.github_repository))
    error_message = "github_repository is OWNER/NAME."
  }
}

variable "state_bucket" {
  description = "Name of the bucket with Terraform's state, which the role of `terraform plan` reads."
  type        = string
}

variable "prometheus_image" {
  description = "Image of Prometheus on the operations host, by digest in production."
  type        = string
  default     = "quay.io/prometheus/prometheus:v3.5.0"
}
