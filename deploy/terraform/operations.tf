# One host without clients: Prometheus, and the releases, which read it. A group of one replaces it.

locals {
  release_statements = [
    {
      Sid    = "ReadTheFleet"
      Effect = "Allow"
      Action = [
        "autoscaling:DescribeAutoScalingGroups",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeInstances",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
      ]
      Resource = "*"
    },
    {
      Sid      = "MoveTheTraffic"
      Effect   = "Allow"
      Action   = "elasticloadbalancing:ModifyListener"
      Resource = aws_lb_listener.https.arn
    },
    {
      Sid    = "StartAndStopAColour"
      Effect = "Allow"
      Action = ["autoscaling:UpdateAutoScalingGroup", "autoscaling:CreateOrUpdateTags"]
      Resource = [
        for colour in local.colours :
        "arn:aws:autoscaling:${var.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.name}-${colour}"
      ]
    },
    {
      Sid      = "NameTheImage"
      Effect   = "Allow"
      Action   = "ssm:PutParameter"
      Resource = [for parameter in aws_ssm_parameter.image : parameter.arn]
    },
  ]
}

resource "aws_launch_template" "operations" {
  name                   = "${local.name}-operations"
  image_id               = data.aws_ssm_parameter.image_of_amazon_linux.insecure_value
  instance_type          = local.capacity.operations_type
  update_default_version = true
  ebs_optimized          = true

  user_data = base64encode(join("\n", [
    templatefile("${path.module}/templates/host.sh.tftpl", local.host),
    templatefile("${path.module}/templates/operations.sh.tftpl", {
      prometheus_image = var.prometheus_image
      prometheus = templatefile("${path.module}/templates/prometheus.yml.tftpl", {
        region       = var.region
        environment  = var.environment
        metrics_port = local.ports.metrics
        worker_ports = [local.ports.worker_metrics, local.ports.worker_metrics + 1]
      })
      release = templatefile("${path.module}/templates/release.sh.tftpl", {
        repository = aws_ecr_repository.this.repository_url
      })
      # The fields of deploy/aws/fleet.py's Config.
      fleet = jsonencode({
        name       = local.name
        region     = var.region
        repository = aws_ecr_repository.this.repository_url
        listener   = aws_lb_listener.https.arn
        groups     = { for colour in local.colours : colour => aws_lb_target_group.this[colour].arn }
        minimum    = local.capacity.instances.min
        api_port   = local.ports.api
      })
    }),
  ]))

  iam_instance_profile {
    arn = aws_iam_instance_profile.operations.arn
  }

  network_interfaces {
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [aws_security_group.this["operations"].id]
  }

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
      volume_size           = 50
      encrypted             = true
      kms_key_id            = aws_kms_key.this.arn
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${local.name}-operations", Role = "operations" })
    }
  }
}

resource "aws_autoscaling_group" "operations" {
  name                      = "${local.name}-operations"
  vpc_zone_identifier       = [for index in range(2) : aws_subnet.this["app-${index}"].id]
  min_size                  = 1
  max_size                  = 1
  health_check_type         = "EC2"
  wait_for_capacity_timeout = "0"
  enabled_metrics           = ["GroupInServiceInstances"]

  launch_template {
    id      = aws_launch_template.operations.id
    version = "$Latest"
  }

  dynamic "tag" {
    for_each = local.tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }
}

# The one command that CI may run on the host: a release of an image by its digest.
resource "aws_ssm_document" "release" {
  name            = "${local.name}-release"
  document_type   = "Command"
  document_format = "JSON"

  content = jsonencode({
    schemaVersion = "2.2"
    description   = "Release an image of ${local.name}"
    parameters = {
      Digest = { type = "String", allowedPattern = "^sha256:[0-9a-f]{64}$" }
    }
    mainSteps = [{
      action = "aws:runShellScript"
      name   = "release"
      inputs = {
        timeoutSeconds = "14400"
        runCommand     = ["/usr/local/sbin/release '{{ Digest }}'"]
      }
    }]
  })
}
