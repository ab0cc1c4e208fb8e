# API and workers, in two groups of instances: one colour serves, the other is the next release.

data "aws_ssm_parameter" "image_of_amazon_linux" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

locals {
  # What is not secret of the settings; the others are in the secret.
  settings = {
    ENVIRONMENT        = "production"
    HOST               = "0.0.0.0" # the security group lets the operations host in, no client
    PORT               = tostring(local.ports.api)
    METRICS_HOST       = "0.0.0.0"
    METRICS_PORT       = tostring(local.ports.metrics)
    AWS_REGION         = var.region
    STORAGE_URL        = "s3://${aws_s3_bucket.images.id}"
    STORAGE_PUBLIC_URL = "https://${local.images_domain}"
    CORS_ORIGINS       = join(",", var.cors_origins)
    TRUSTED_PROXIES    = join(",", concat(["127.0.0.1"], [for index in range(2) : aws_subnet.this["public-${index}"].cidr_block]))
    API_WORKERS        = tostring(local.capacity.api_workers)
    DATABASE_POOL_SIZE = tostring(local.capacity.pool_size)
    FLAGS_FILE         = "/var/lib/course-enrollment/flags.json"
    SKIP_MIGRATION     = "true"
  }

  # What both kinds of instances do first.
  host = {
    region    = var.region
    registry  = split("/", aws_ecr_repository.this.repository_url)[0]
    secret    = aws_secretsmanager_secret.settings.name
    settings  = local.settings
    log_group = aws_cloudwatch_log_group.this["service"].name
    agent     = aws_ssm_parameter.cloudwatch_agent.name
  }
}

resource "aws_launch_template" "app" {
  for_each = local.colours

  name                   = "${local.name}-${each.key}"
  image_id               = data.aws_ssm_parameter.image_of_amazon_linux.insecure_value
  instance_type          = local.capacity.instance_type
  update_default_version = true
  ebs_optimized          = true

  user_data = base64encode(join("\n", [
    templatefile("${path.module}/templates/host.sh.tftpl", local.host),
    templatefile("${path.module}/templates/app.sh.tftpl", {
      image_parameter = aws_ssm_parameter.image[each.key].name
      nginx           = file("${path.module}/templates/nginx.conf")
      metrics_port    = local.ports.worker_metrics
    }),
  ]))

  iam_instance_profile {
    arn = aws_iam_instance_profile.app.arn
  }

  network_interfaces {
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [aws_security_group.this["app"].id]
  }

  # Containers share the host's network, so tokens need no second hop.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 20
      encrypted             = true
      kms_key_id            = aws_kms_key.this.arn
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${local.name}-${each.key}", Role = "app", Colour = each.key })
    }
  }
}

resource "aws_autoscaling_group" "app" {
  for_each = local.colours

  name                      = "${local.name}-${each.key}"
  vpc_zone_identifier       = [for index in range(2) : aws_subnet.this["app-${index}"].id]
  target_group_arns         = [aws_lb_target_group.this[each.key].arn]
  min_size                  = each.key == "blue" ? local.capacity.instances.min : 0
  max_size                  = local.capacity.instances.max
  health_check_type         = "ELB"
  health_check_grace_period = 300
  default_instance_warmup   = 60
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.app[each.key].id
    version = "$Latest"
  }

  # Prometheus labels an instance's series with it, and a release compares revisions by it.
  tag {
    key                 = "Revision"
    value               = "first"
    propagate_at_launch = true
  }

  # A release decides which colour has instances, and of which revision.
  lifecycle {
    ignore_changes = [min_size, desired_capacity, tag]
  }
}

resource "aws_autoscaling_policy" "cpu" {
  for_each = local.colours

  name                   = "${each.key}-cpu"
  autoscaling_group_name = aws_autoscaling_group.app[each.key].name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = 50

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}
